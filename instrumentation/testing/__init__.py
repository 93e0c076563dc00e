"""Help for tests: assertions on recorded metrics, checks of locks, and the pytest plugins for both.

`mnemoscope.testing` is the public name of the assertions. This package imports nothing, because every pytest run loads
the plugins in it.
"""
