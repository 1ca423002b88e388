"""What a person types, a theme a file: options are read, one action is called, its result is printed.

An action is imported inside its task: the list of the tasks loads none.
"""
