"""Video files and image folders in and out."""
