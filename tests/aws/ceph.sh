# Part of start.sh: a Ceph cluster of one monitor, one object daemon on a sparse file and one gateway, all on loopback, with
# a user `test` whose secret is `test`. Leaves the daemons' process ids in $emulator.
monitor_port=$((port < 60000 ? port + 1 : port - 1))
mkdir -p "$folder"/{mon,osd,run,log,rgw}
conf=$folder/ceph.conf
cat >"$conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_host = [v2:127.0.0.1:$monitor_port/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
ms_bind_msgr1 = false
keyring = $folder/keyring
run_dir = $folder/run
admin_socket = $folder/run/\$name.asok
log_file = $folder/log/\$name.log
pid_file = $folder/run/\$name.pid
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
[mon.a]
mon_data = $folder/mon
[osd]
osd_data = $folder/osd
bluestore_block_size = 4294967296
bluestore_block_create = true
osd_memory_target = 939524096
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
[client.rgw.a]
rgw_data = $folder/rgw
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_dns_name = localhost
CONF
ceph=(-c "$conf")
ceph-authtool --create-keyring "$folder/keyring" --gen-key -n mon. --cap mon 'allow *'
ceph-authtool "$folder/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool "$folder/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
ceph-authtool "$folder/keyring" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
fsid=$(awk '/^fsid/ { print $3 }' "$conf")
monmaptool --create --enable-all-features --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor_port]" "$folder/monmap"
ceph-mon "${ceph[@]}" --mkfs -i a --monmap "$folder/monmap" --keyring "$folder/keyring"
ceph-mon "${ceph[@]}" -f -i a </dev/null &
emulator=$!
osd=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph "${ceph[@]}" osd new "$osd"
ceph-osd "${ceph[@]}" -i 0 --mkfs --osd-uuid "$osd"
ceph-osd "${ceph[@]}" -f -i 0 </dev/null &
emulator="$emulator $!"
timeout 60 ceph "${ceph[@]}" osd crush add-bucket default root || true
# Before the gateway, which is what says that all is ready.
timeout 100 radosgw-admin "${ceph[@]}" user create --uid=test --display-name=test --access-key=test --secret-key=test
radosgw "${ceph[@]}" -f -n client.rgw.a </dev/null &
emulator="$! $emulator"
