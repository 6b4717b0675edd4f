"""The smoke flow: real jobs through a real cluster, at any address, with evidence for every claim and a report."""
