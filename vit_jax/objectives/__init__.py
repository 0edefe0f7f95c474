"""What is learned: how a batch becomes a loss, and how an evaluation is counted."""
