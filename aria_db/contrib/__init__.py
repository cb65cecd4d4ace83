"""What fits aria-db to one application: a drop-in for a class that it has, say."""
