create extension dblink;
