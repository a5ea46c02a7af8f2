"""What bench/compare and bench/jobs are made of. Each module has one subject; `cases` knows the others, none knows `cases`."""
