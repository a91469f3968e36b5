"""What a folder of records holds, and the way from it to batches."""
