// Package azure drives the managed service with Azure's own clients, unmodified:
// the SDKs for Go, JavaScript and Python, and requests as the Azure CLI was
// recorded to send them. Each client's program is a folder here; they learn
// where the server is from the environment:
//
//	SYNOD_URL, SYNOD_CA (file), SYNOD_TOKEN   the server, and how to get in
//	SYNOD_SUBSCRIPTION, SYNOD_GROUP           where; the Go program makes its own group
//	SYNOD_NETWORK, SYNOD_NODES, SYNOD_MEMBER  name, node count, and file of a member's certificate
//	SYNOD_BACKUP, SYNOD_SHARE                 backup store, empty: not tried; name of a backup, empty: as the backup's message says
//	SYNOD_RESTART                             address that restarts the control plane; may be empty
//	SYNOD_BROKEN                              name of a network whose creation fails; may be empty
package azure
