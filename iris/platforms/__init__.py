"""How machines come and go. The protocols are in `protocols`; each platform is a folder."""
