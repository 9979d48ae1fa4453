"""From Kaggle, csv files, the sample generator and TMDB payloads into schema `raw`."""
