"""What a run leaves behind: `NAME.json`, `NAME.md` and the plots, in one folder."""
