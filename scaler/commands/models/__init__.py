"""`headway models`: the index of models, read and changed from the command line."""
