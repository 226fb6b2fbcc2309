"""Differentiable torch layers that give activations a chosen shape."""
