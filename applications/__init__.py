"""Applications of the paper, as commands on embeddings files."""
