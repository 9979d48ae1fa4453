"""The server beside the reference project's design and `mlflow models serve`, on the same films and stub."""
