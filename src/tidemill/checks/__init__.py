"""The checks that a feed's rules name: each is a class with its options, its reason code and, as its docstring, its
page in the documentation."""
