"""What is learned: losses and how an evaluation is counted."""
