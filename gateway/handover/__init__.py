"""What keeps established connections over a restart and a crash: docs/handover.md explains the mechanism."""
