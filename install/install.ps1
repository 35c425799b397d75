<#
.SYNOPSIS
Installs the program dapr. It is one file, which carries the runtime too.

.DESCRIPTION
For Windows PowerShell 5.1 and PowerShell 7. No administrator is needed.

    irm URL/install.ps1 | iex                                   the latest release
    & ([scriptblock]::Create((irm URL/install.ps1))) 1.2.3      that release

Variables:
    DAPR_INSTALL_DIR       folder for the program; %LOCALAPPDATA%\Programs\dapr
    DAPR_INSTALL_VERSION   release to install, where no argument names one; latest
    DAPR_INSTALL_BASE_URL  where releases are; any web server with these files:
                             BASE/download/vVERSION/checksums.txt
                             BASE/download/vVERSION/dapr_windows_ARCH.zip
                             BASE/latest/download/... the same of the latest release
    HTTP_PROXY, HTTPS_PROXY and NO_PROXY, and else the proxy of the system, are used.

Nothing is installed before its checksum is right and it has run once. Then it
takes the place of an older dapr in one step.
#>
param([string]$Version)

# One block: what is set in it ends with it, also where the text was piped into
# iex, and half a text is none. It never exits: that would close the window.
& {
    Set-StrictMode -Version Latest
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue' # drawing it takes longer than the download

    # A fork changes the owner here; a test compares it with the module's path.
    $repository = 'https://github.com/hyperdapr/dapr'

    function Get-ReleaseFile([string]$Uri, [string]$Path) {
        $request = @{ Uri = $Uri; OutFile = $Path; UseBasicParsing = $true; Headers = $headers }
        if ($PSVersionTable.PSVersion.Major -lt 6) { Add-Proxy $request }
        try {
            Invoke-WebRequest @request
        } catch {
            $hint = 'Check the network; behind a proxy set HTTPS_PROXY, with a mirror DAPR_INSTALL_BASE_URL.'
            $response = $_.Exception.PSObject.Properties['Response']
            if ($response -and $response.Value -and [int]$response.Value.StatusCode -eq 404) {
                $hint = "There is no such file: is there a version $Version for ${system}? See $base"
            }
            throw "Could not download ${Uri}: $($_.Exception.Message) $hint"
        }
    }

    # Windows PowerShell does not read the variables; PowerShell 7 does.
    function Add-Proxy([hashtable]$Request) {
        $address = [Uri]$Request.Uri
        $proxy = $env:HTTP_PROXY
        if ($address.Scheme -eq 'https') { $proxy = $env:HTTPS_PROXY }
        $direct = @("$env:NO_PROXY" -split ',' | ForEach-Object { $_.Trim().TrimStart('.') } |
            Where-Object { $_ -and ($address.Host -like $_ -or $address.Host -like "*.$_") })
        if (-not $proxy -or $direct.Count) { return }
        if ($proxy -notlike '*://*') { $proxy = "http://$proxy" }
        $Request.Proxy = $proxy
        $login = ([Uri]$proxy).UserInfo
        if ($login) {
            $name, $password = $login -split ':', 2 | ForEach-Object { [Uri]::UnescapeDataString($_) }
            $secure = (New-Object Net.NetworkCredential -ArgumentList $name, "$password").SecurePassword
            $Request.ProxyCredential = New-Object Management.Automation.PSCredential -ArgumentList $name, $secure
        } else {
            $Request.ProxyUseDefaultCredentials = $true
        }
    }

    # What is in use cannot be removed; the next run tries again.
    function Remove-Stage([string]$Path) {
        if (Test-Path -LiteralPath $Path) { Remove-Item -Recurse -Force -LiteralPath $Path -ErrorAction SilentlyContinue }
    }

    if ($PSVersionTable.PSEdition -eq 'Core' -and -not $IsWindows) {
        throw 'This is not Windows: use install.sh.'
    }
    if (-not $Version) { $Version = $env:DAPR_INSTALL_VERSION }
    if (-not $Version) { $Version = 'latest' }
    $Version = $Version -replace '^v', ''
    if ($Version -notmatch '^[0-9A-Za-z][0-9A-Za-z.+-]*\z') { throw "`"$Version`" is no version; for example: 1.2.3" }

    $base = $env:DAPR_INSTALL_BASE_URL
    if (-not $base) { $base = "$repository/releases" }
    # A name and a password in it are nobody else's business.
    $login = ''
    if ($base -match '^[^/]*//([^/]*)@') { $login = $Matches[1] }
    $base = $base.TrimEnd('/') -replace '^([^/]*//)?[^/]*@', '$1'
    if ($base -notmatch '^https?://') { throw "DAPR_INSTALL_BASE_URL is `"$base`", which is no address; for example: https://mirror.example" }
    $headers = @{}
    if ($login) {
        $bytes = [Text.Encoding]::UTF8.GetBytes([Uri]::UnescapeDataString($login))
        $headers.Authorization = 'Basic ' + [Convert]::ToBase64String($bytes)
    }

    $dir = $env:DAPR_INSTALL_DIR
    if (-not $dir) { $dir = Join-Path $env:LOCALAPPDATA 'Programs\dapr' }
    # .NET has a current folder of its own.
    $dir = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($dir)

    # A shell that the machine translates, or one of 32 bits, has its own
    # architecture in its variables.
    $machine = 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Environment'
    $architecture = [Microsoft.Win32.Registry]::GetValue($machine, 'PROCESSOR_ARCHITECTURE', $null)
    if (-not $architecture) { $architecture = $env:PROCESSOR_ARCHITEW6432 }
    if (-not $architecture) { $architecture = $env:PROCESSOR_ARCHITECTURE }
    switch ($architecture) {
        'AMD64' { $system = 'windows_amd64' }
        'ARM64' { $system = 'windows_arm64' }
        default { throw "There is no dapr for this machine: its processor is $architecture. Supported: windows_amd64 windows_arm64" }
    }
    Write-Host "Your system is $system"

    if ($PSVersionTable.PSVersion.Major -lt 6) {
        # Old ones offer less than servers ask for.
        [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    }

    $made = -not (Test-Path -LiteralPath $dir)
    # Beside its destination, so that the last step is a rename and not a copy.
    $stage = Join-Path $dir (".dapr-install.$PID." + [Guid]::NewGuid().ToString('N'))
    try {
        if (-not $made) {
            # What a run left that was killed, or that replaced a program in use.
            foreach ($old in Get-ChildItem -Force -LiteralPath $dir -Filter '.dapr-install.*') {
                if ($old.Name -notmatch '^\.dapr-install\.(\d{1,9})\.') { continue }
                $owner = $Matches[1]
                if ($owner -eq $PID -or -not (Get-Process -Id $owner -ErrorAction SilentlyContinue)) { Remove-Stage $old.FullName }
            }
        }
        New-Item -ItemType Directory -Force -Path $stage | Out-Null

        $file = "dapr_$system.zip"
        $from = "$base/download/v$Version"
        if ($Version -eq 'latest') { $from = "$base/latest/download" }
        Write-Host "Downloading $from/$file"
        $checksums = Join-Path $stage 'checksums.txt'
        Get-ReleaseFile "$from/checksums.txt" $checksums
        $expected = ''
        foreach ($line in Get-Content -LiteralPath $checksums) {
            $words = $line.Trim() -split '\s+\*?', 2
            if ($words.Count -eq 2 -and $words[1] -eq $file) { $expected = $words[0] }
        }
        if (-not $expected) { throw "$from/checksums.txt has no checksum of $file" }
        $archive = Join-Path $stage $file
        Get-ReleaseFile "$from/$file" $archive
        $got = (Get-FileHash -Algorithm SHA256 -LiteralPath $archive).Hash
        if ($got -ne $expected) { # whatever the case of the letters
            throw "Wrong checksum of $from/$file; nothing was installed. Expected $expected, got $got. " +
                'It was changed on its way, or replaced by a newer release just now: try again.'
        }

        $unpacked = Join-Path $stage 'unpacked'
        Expand-Archive -LiteralPath $archive -DestinationPath $unpacked
        $program = Join-Path $unpacked 'dapr.exe'
        try {
            $versions = & $program version
            if ($LASTEXITCODE -ne 0) { throw "It ended with code $LASTEXITCODE." }
        } catch {
            throw "The program does not run on this machine; nothing was installed. $($_.Exception.Message)"
        }

        $target = Join-Path $dir 'dapr.exe'
        try {
            if (Test-Path -LiteralPath $target) {
                # The older one is kept under another name: while it runs it can
                # be renamed, but not removed.
                [IO.File]::Replace($program, $target, (Join-Path $stage 'old.exe'), $true)
            } else {
                [IO.File]::Move($program, $target)
            }
        } catch {
            throw "Could not put dapr into ${dir}: $($_.Exception.Message) Is it in use? Stop it first: dapr list, dapr stop."
        }
    } finally {
        Remove-Stage $stage
        if ($made -and (Test-Path -LiteralPath $dir) -and -not (Get-ChildItem -Force -LiteralPath $dir)) {
            Remove-Item -LiteralPath $dir -ErrorAction SilentlyContinue
        }
    }
    Write-Host "dapr was installed into $dir"
    foreach ($line in $versions) { Write-Host ($line.Trim() -replace '^CLI', 'cli' -replace '^Runtime', 'runtime') }

    # Whether a PATH has the folder, however it is written.
    function Test-Folder([string]$Path) {
        $written = @($Path -split ';' | ForEach-Object { [Environment]::ExpandEnvironmentVariables($_).TrimEnd('\') })
        $written -contains $dir.TrimEnd('\')
    }

    # The user's own PATH, in the registry, where variables in it stay as written.
    try {
        $key = [Microsoft.Win32.Registry]::CurrentUser.CreateSubKey('Environment')
        try {
            $path = [string]$key.GetValue('Path', '', [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
            if (-not (Test-Folder $path)) {
                $folders = @($path -split ';' | Where-Object { $_ }) + $dir
                $key.SetValue('Path', ($folders -join ';'), [Microsoft.Win32.RegistryValueKind]::ExpandString)
                # Programs that run are told of the change when a variable is set this way.
                $signal = 'dapr-' + [Guid]::NewGuid().ToString('N')
                [Environment]::SetEnvironmentVariable($signal, 'x', 'User')
                [Environment]::SetEnvironmentVariable($signal, [NullString]::Value, 'User')
                Write-Host "$dir was added to your PATH"
            }
        } finally {
            $key.Close()
        }
    } catch {
        Write-Host "Could not add $dir to your PATH; add it yourself: $($_.Exception.Message)"
    }
    if (-not (Test-Folder $env:Path)) { $env:Path = "$env:Path;$dir" }
    $first = Get-Command -Name dapr -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($first -and $first.Path -ne $target) {
        Write-Host "Another dapr comes first in your PATH: $($first.Path)"
        Write-Host "Remove it, or put $dir before its folder."
    }
    Write-Host "To get started: dapr init, and $repository/blob/main/docs/getting-started.md"
}
