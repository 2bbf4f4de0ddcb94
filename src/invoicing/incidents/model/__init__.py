"""The rules of incidents: values in, values out."""
