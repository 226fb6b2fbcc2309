"""
How many moments?
=================

The 272 eruptions of Old Faithful, fitted with 2, 4, 6 and 10 moments. Two give one broad hump,
four see that there are two, six have their shapes; ten change little, which is the sign to
stop.
"""

import matplotlib.pyplot as plt
import numpy as np

import maxent
from maxent.reading import read_example

minutes, _ = read_example("faithful")
x = np.linspace(minutes.min(), minutes.max(), 600)

fig, axes = plt.subplots(2, 2, sharex=True, sharey=True, figsize=(6.4, 4.8))
for ax, degree in zip(axes.flat, (2, 4, 6, 10), strict=True):
    density = maxent.fit(minutes, degree)
    ax.hist(minutes, 30, density=True, color="#d5dde6")
    ax.plot(x, density.pdf(x))
    ax.set_title(f"{degree} moments, entropy {density.entropy():.3f}", fontsize=10)
for ax in axes[1]:
    ax.set_xlabel("minutes")
plt.show()
