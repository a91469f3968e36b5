"""Turns videos and images into TFRecords, and makes a synthetic data set."""
