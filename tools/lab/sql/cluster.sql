-- The cluster of the lab: one application user, whose password only the gateway knows, and its databases.
\getenv password SHOP_APP_PASSWORD
create role shop_app login password :'password';
-- It may do more on the server than a shop needs: a statement that slips past the gateway must have an effect that shows.
grant pg_read_server_files, pg_write_server_files, pg_execute_server_program, pg_signal_backend to shop_app;
create database shop owner shop_app;
create database bench owner shop_app;
revoke connect on database shop, bench, postgres, template1 from public;
-- Everything that reaches the sample database is in the server's log, each step of the extended protocol too.
alter role shop_app in database shop set log_statement = 'all';
alter role shop_app in database shop set log_min_duration_statement = 0;
