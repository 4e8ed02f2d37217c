"""Generated hostile input at the doors of the gateway: `make fuzz`, and a little of it with the
tests.

How much is generated is chosen by the profile of hypothesis (tests/conftest.py).
"""
