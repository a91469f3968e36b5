"""Records, what a folder of them holds, and how their frames become batches."""
