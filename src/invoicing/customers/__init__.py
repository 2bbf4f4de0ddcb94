"""Who asks: customers, their keys, our staff, what each role may do, and the audit of what was done."""
