"""Label files: one reader a format."""
