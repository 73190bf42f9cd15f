"""What data say of a prediction: one file and one yaml of conf/likelihood each."""
