"""Where a simulated participant meets the wire: messages are recorded here, and here a fault strikes."""
