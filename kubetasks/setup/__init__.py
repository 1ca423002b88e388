"""What a bare machine lacks, and how it is brought."""
