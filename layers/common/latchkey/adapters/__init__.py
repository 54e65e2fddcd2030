"""The edge: the only code that talks to AWS, to receivers, to connectors, and reads the environment."""
