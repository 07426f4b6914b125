"""The triplets of a run as trainers load them, and the look at whether they are whole."""
