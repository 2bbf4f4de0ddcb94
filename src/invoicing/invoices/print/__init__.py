"""The printed invoice: what it says (`page`), in which words (`languages`), and how it looks (`invoice.typ`)."""
