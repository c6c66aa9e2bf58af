"""What can be wrong around a gateway, and the command that mends it.

`evidence` looks at everything once, without changing or starting anything; the checks are small pure functions over
it, listed in `checks`; `cli/doctor` prints what they find.
"""
