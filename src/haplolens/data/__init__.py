"""The nouns: what flows through the house. No file is opened here."""
