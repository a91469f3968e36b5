"""What every room needs: errors, command line, files, settings."""
