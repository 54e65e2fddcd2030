"""The rules: pure, with the time passed in; they know neither AWS nor the environment."""
