"""Where bytes are stored: local and bucket paths, remote files, the mirror of a run."""
