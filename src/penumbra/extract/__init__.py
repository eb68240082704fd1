"""extract@MODEL: features of every ID image."""
