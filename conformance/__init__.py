"""Whether OpenClaw's own programs work with this gateway. Nothing of this is part of the product."""
