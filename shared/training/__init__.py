"""From triplets to a model that relights."""
