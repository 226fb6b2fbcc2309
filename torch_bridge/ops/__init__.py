"""The differentiable primitives that the layers are made of."""
