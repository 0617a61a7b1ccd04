"""`headway top`: the overview of a running scaler in the terminal, asked for again and again."""
