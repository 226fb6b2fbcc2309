"""Measurements of `maxent`: what it solves, what it refuses, how fast it is. Not installed with the
package.
"""
