"""Checks of a gateway's surroundings, with the commands that mend what they find.

`evidence` gathers everything once, and starts and changes nothing. The checks are pure functions of it, listed in
`checks`; `cli/doctor` prints their findings.
"""
