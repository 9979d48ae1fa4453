"""From features to a champion: load the examples, split them, fit, evaluate, register."""
