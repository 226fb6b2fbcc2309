"""A Density in the tools that people already use; each module imports its tool, and only it.

scipy      frozen rv_continuous, and the new infrastructure
sklearn    MaxEntTransformer                              pip install 'maxent[sklearn]'
dask       densities of dask arrays and columns           pip install 'maxent[dask]'
"""
