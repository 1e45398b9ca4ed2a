"""The landscape served: simulators on real ports, and real participants in their place."""
